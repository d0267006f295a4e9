"""Compare: do models see the same?"""

from pages.compare import agreement, neighbours
from ui import page

now = page.open_page("Compare", "Do models see the same?")
gallery = page.indexed_gallery(now)

models = neighbours.choose(gallery)
page.made_elsewhere(*models)
neighbours.pair(gallery, models)
neighbours.neighbours(gallery, models)
agreement.whole_gallery(gallery, models)
