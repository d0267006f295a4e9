"""The colours that mean something, the same in every figure."""

# Okabe and Ito's colours, which colour-blind eyes tell apart.
QUERY = "#D55E00"
HIT = "#0072B2"
REST = "#9AA0A6"
BASELINE = "#CC79A7"
#: For similarities, from far to near, darker to brighter: for eyes of every kind, and in grey.
SIMILARITY = "Viridis"
#: For categories, in this order; REST for what has none, or for the ninth and on.
CATEGORIES = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#000000",
)
#: For the categories of points, which lie on light and dark with the query among them: without its
#: colour and without black. With colour-blind eyes as far apart as those above.
POINTS = (*CATEGORIES[:5], "#F0E442", "#AA3377", "#6F4E37")
#: For what several columns share, in turn: not the query's colour, and legible on light and dark.
SHARED = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
