"""The app in this process, as one person sees it, by Streamlit's AppTest."""

import dataclasses
import functools
import json
from unittest import mock

from streamlit.components.v2.component_manager import BidiComponentManager
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import AppTest, app_test
from streamlit.util import calc_hash

from aina_core import models
from aina_core.models import spec as registry
from tests.support.process import ROOT
from ui.navigation import PAGES

LITE0 = models.DEFAULT
CHELSEA = "chelsea/original.jpg"
#: As in a server, what was read and compiled once serves all sessions.
SCRIPTS = ScriptCache()


@functools.cache
def components():
    """The components of all installed packages, looked for once."""
    found = BidiComponentManager()
    found.discover_and_register_components(start_file_watching=False)
    return found


class App:
    """The app as one person sees it, from a link to one of its pages."""

    def __init__(self, page="search", **link):
        self.test = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        self.test._bidi_component_manager = components()
        for name, value in link.items():
            self.test.query_params[name] = value
        self.visit(page)

    def visit(self, page):
        """Go to a page by its name, as its address or a click does."""
        self.test._page_hash = calc_hash(page if page != next(iter(PAGES)) else "")
        return self.run()

    def run(self):
        with mock.patch.object(app_test, "ScriptCache", lambda: SCRIPTS):
            self.test.run()
        self.healthy()
        return self

    def healthy(self):
        """No exception, and the page's title is there."""
        assert not self.test.exception, self.test.exception[0].value
        assert len(self.test.title) == 1

    def said(self, *kinds):
        """The sentences of these kinds, as they read."""
        kinds = kinds or ("error", "warning", "info")
        found = [element.value for kind in kinds for element in getattr(self.test, kind)]
        return [unescaped(text) for text in found]

    def texts(self):
        return [element.value for element in self.test.text]

    @property
    def link(self):
        return dict(self.test.query_params)

    def component(self, name):
        """What a component was sent; None when it is not there."""
        found = [x for x in self.test.get("bidi_component") if x.key.startswith(name)]
        return json.loads(found[0].proto.json) if found else None

    @property
    def hits(self):
        sent = self.component("hits")
        return sent and [card["id"] for card in sent["cards"]]

    def send(self, key, value):
        """Let a component send a value, and take it back as Streamlit does with a trigger."""
        self.test.session_state[key] = value
        self.run()
        self.test.session_state[key] = {}

    def crop(self, box, number):
        url = self.component("cropper")["url"]
        gesture = {"number": f"s:{number}", "url": url, "box": box}
        self.test.session_state[f"cropper-{url}".replace("_", "-")] = {"gesture": gesture}
        return self.run()

    def upload(self, data, name="mine.jpg"):
        self.test.file_uploader(key="query-upload").upload(name, data, "image/jpeg")
        return self.run()

    def widget(self, kind, key):
        return next(x for x in self.test.get(kind) if x.key == key)

    def set(self, kind, key, value):
        self.widget(kind, key).set_value(value)
        return self.run()

    def click(self, label):
        next(button for button in self.test.button if button.label == label).click()
        return self.run()

    def has_sidebar(self):
        assert [box.label for box in self.test.sidebar.selectbox][:2] == ["Gallery", "Model"]


def unescaped(text):
    return "".join(
        sign for at, sign in enumerate(text) if sign != "\\" or text[at - 1 : at] == "\\"
    )


def without_weights(monkeypatch, name):
    known = models.get(name)
    lost = dataclasses.replace(known.weights, package="aina_no_such_package")
    monkeypatch.setitem(registry._SPECS, name, dataclasses.replace(known, weights=lost))
