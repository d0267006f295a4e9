"""AINA: page set-up, navigation and the sidebar of every page. Start it with `make app`."""

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from streamlit.runtime.pages_manager import PagesManager

from ui import map_data, serve, state
from ui.sidebar import sidebar

if __name__ != "__main__":
    # `streamlit run` imports this file for its app, and then runs it as a script for each visit.
    # Without the next line the first deep link on a fresh server shows "Page not found": Streamlit
    # looks for the pages of its older mechanism because a folder is named pages/.
    PagesManager.uses_pages_directory = False
    hosts = list(st.get_option("server.allowedHosts")) or ["*"]
    app = st.App(
        __file__,
        routes=[*serve.ROUTES, *map_data.ROUTES],
        lifespan=serve.warm_up,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
    )
else:
    st.set_page_config(page_title="AINA", page_icon="ui/assets/icon.svg", layout="wide")
    st.logo("ui/assets/logo.svg", size="large")
    st.html("<style>.stMainBlockContainer { padding-top: 3rem }</style>")
    page = st.navigation(
        {
            "Explore": [
                st.Page(
                    "pages/explore/search.py",
                    title="Search",
                    icon=":material/image_search:",
                    default=True,
                ),
                st.Page("pages/explore/map.py", title="Map", icon=":material/scatter_plot:"),
                st.Page("pages/explore/heatmap.py", title="Heat map", icon=":material/grid_on:"),
                st.Page("pages/explore/compare.py", title="Compare", icon=":material/compare:"),
                st.Page("pages/explore/explain.py", title="Explain", icon=":material/visibility:"),
            ],
            "Study": [
                st.Page("pages/study/robustness.py", title="Robustness", icon=":material/science:"),
                st.Page(
                    "pages/study/duplicates.py", title="Duplicates", icon=":material/content_copy:"
                ),
            ],
            "Build": [
                st.Page(
                    "pages/build/galleries.py", title="Galleries", icon=":material/photo_library:"
                ),
                st.Page("pages/build/models.py", title="Models", icon=":material/neurology:"),
                st.Page("pages/build/train.py", title="Train", icon=":material/model_training:"),
            ],
        }
    )
    state.follow_url()
    state.publish()
    sidebar()
    page.run()
