"""AINA: page set-up, navigation and the sidebar of every page. Start it with `make app`."""

import streamlit as st
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from streamlit.runtime.pages_manager import PagesManager

from pages.map import data
from ui import navigation, serve, state
from ui.sidebar import sidebar

if __name__ != "__main__":
    # `streamlit run` imports this file for its app, and then runs it as a script for each visit.
    # Without the next line the first deep link on a fresh server shows "Page not found", since
    # Streamlit takes a folder named pages/ for its older way to declare pages.
    PagesManager.uses_pages_directory = False
    hosts: list[str] = []
    app = st.App(
        __file__,
        routes=[*serve.ROUTES, *data.ROUTES],
        lifespan=serve.lifespan,
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
    )
    # st.App finds the settings beside this file, whoever starts it; an earlier look would miss them
    hosts.extend(st.get_option("server.allowedHosts") or ["*"])
else:
    st.set_page_config(page_title="AINA", page_icon="ui/assets/icon.svg", layout="wide")
    st.logo("ui/assets/logo.svg", size="large")
    st.html("<style>.stMainBlockContainer { padding-top: 3rem }</style>")
    serve.note_rerun()
    page = navigation.chosen_page()
    state.follow_url()
    state.publish()
    sidebar()
    page.run()
