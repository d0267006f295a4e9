"""Explain: why are these two alike, and what does the network look at?"""

import streamlit as st

from aina_core import models
from aina_core.errors import AinaError
from aina_core.gallery import open_gallery
from pages.explain import checks, choices, crops, maps, parts, pictures
from pages.explain.question import CLASS, SIMILARITY, Question
from ui import page, settings, state
from ui.text import plain

now = page.open_page("Explain", "Why are these two alike? What does the network look at?")

if models.is_external(now.model):
    page.made_elsewhere(now.model)
    st.stop()

gallery = open_gallery(now.gallery)
try:
    choice, place = choices.choose(gallery)
    query = pictures.query_subject(now)
    if query is None:
        st.info("There is no picture to explain; the Search page has ways to one.")
        st.stop()
    if len(now.query) > 1:
        st.caption("Of a query of several terms, the picture is what is explained.")
    if choice.kind == SIMILARITY:
        reference = pictures.choose_reference(gallery, place)
        question = reference and Question(
            SIMILARITY, choice.method, reference=reference, opposite=choice.opposite
        )
    elif choice.kind == CLASS:
        question = maps.class_question(choice, query, place)
    else:
        question = maps.words_question(choice, place)
    if question is not None and maps.show(gallery, choice, query, question):
        looks = {
            "parts": ":material/join_inner: Part to part",
            "crops": ":material/crop: Crops",
            "checks": ":material/fact_check: Is the map right?",
        }
        offered = [look for look in looks if look != "parts" or question.reference is not None]
        look = settings.choice(
            "explain.below",
            "A closer look",
            {look: looks[look] for look in offered},
            offered[0],
            known=looks,
        )
        if question.reference is not None and look == "parts":
            parts.show(choice, query, question.reference)
        elif look == "crops":
            crops.show(gallery, choice, query, question)
        else:
            checks.show(choice, query, question)
except AinaError as error:
    st.error(plain(error))
state.publish()
