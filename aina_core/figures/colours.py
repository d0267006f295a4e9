"""The colours that mean something, the same in every figure."""

# Okabe and Ito's colours, which colour-blind eyes tell apart.
QUERY = "#D55E00"
HIT = "#0072B2"
REST = "#9AA0A6"
BASELINE = "#CC79A7"
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
