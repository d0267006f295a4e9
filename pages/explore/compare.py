"""Compare: do models see the same?"""

from ui import agreement, compare, widgets

now = widgets.open_page("Compare", "Do models see the same?")
gallery = widgets.indexed_gallery(now)

models = compare.choose(gallery)
widgets.made_elsewhere(*models)
compare.pair(gallery, models)
compare.neighbours(gallery, models)
agreement.whole_gallery(gallery, models)
