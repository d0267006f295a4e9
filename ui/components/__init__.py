"""What a page can draw that Streamlit cannot: cards, ranks, figures with pictures, a map, pictures
under heat maps, a crop box, a place to paste.

Each is a components-v2 element: one Python function that sends plain data and reads an event
back, and one JavaScript file beside it. Texts travel as JSON and are drawn with `textContent`,
so a file's name can never become HTML. What comes back is untrusted and is checked here.
"""

from ui.components.cards import Action, Card, Event, cards
from ui.components.cropper import Box, clamp_box, cropper
from ui.components.heat import HeatPicture, Mark, Place, encode_map, heat
from ui.components.paste import Pasted, paste_zone
from ui.components.plot import Picture, plot
from ui.components.ranks import Row, ranks
from ui.components.scatter import Clicked, Cloud, Lassoed, scatter

__all__ = [
    "Action",
    "Box",
    "Card",
    "Clicked",
    "Cloud",
    "Event",
    "HeatPicture",
    "Lassoed",
    "Mark",
    "Pasted",
    "Picture",
    "Place",
    "Row",
    "cards",
    "clamp_box",
    "cropper",
    "encode_map",
    "heat",
    "paste_zone",
    "plot",
    "ranks",
    "scatter",
]
