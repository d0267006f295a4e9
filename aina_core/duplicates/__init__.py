"""Duplicates: pairs, complete-link groups, which image to keep; new files against a gallery."""

from aina_core.duplicates.against import (
    Checked,
    Checker,
    FolderChecked,
    Match,
    arriving,
    keep_checked,
    stored_checked,
)
from aina_core.duplicates.found import (
    COLUMNS,
    DuplicateGroup,
    Duplicates,
    Pair,
    gather,
    table,
    to_verify,
    verify,
)
from aina_core.duplicates.keep import RULES, Kept, check_rule, choose, forget_choice, read_choices
from aina_core.duplicates.pairs import (
    MOST_EXACT,
    MOST_PAIRS,
    TURNS,
    WAYS,
    Pairs,
    check_threshold,
    find_pairs,
    stored_pairs,
)
from aina_core.duplicates.points import Matched, PointMatcher
from aina_core.duplicates.suggestion import Suggestion, stored_suggestion, suggest
from aina_core.duplicates.turned import merged, stored_turned, turned_pairs

__all__ = [
    "COLUMNS",
    "MOST_EXACT",
    "MOST_PAIRS",
    "RULES",
    "TURNS",
    "WAYS",
    "Checked",
    "Checker",
    "DuplicateGroup",
    "Duplicates",
    "FolderChecked",
    "Kept",
    "Match",
    "Matched",
    "Pair",
    "Pairs",
    "PointMatcher",
    "Suggestion",
    "arriving",
    "check_rule",
    "check_threshold",
    "choose",
    "find_pairs",
    "forget_choice",
    "gather",
    "keep_checked",
    "merged",
    "read_choices",
    "stored_checked",
    "stored_pairs",
    "stored_suggestion",
    "stored_turned",
    "suggest",
    "table",
    "to_verify",
    "turned_pairs",
    "verify",
]
