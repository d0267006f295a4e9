"""Compare: do models see the same?"""

from ui import agreement, compare, widgets

now = widgets.open_page("Compare", "Do models see the same?")
gallery = widgets.indexed_gallery(now)

models = compare.choose(gallery)
for model in models:
    widgets.made_elsewhere(model)
compare.pair(gallery, models)
compare.neighbours(gallery, models)
agreement.whole_gallery(gallery, models)
