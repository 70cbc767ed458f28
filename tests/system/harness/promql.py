"""The metrics and labels that a PromQL expression names.

In: an expression that Prometheus has parsed without error. Out: names(expr) -> {metric: labels used with it, or anywhere}.
Not a parser: strings and ranges are cut out, what is left is words; words before `(` are functions.
"""

import re

WORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "and", "or", "unless", "bool", "offset", "inf", "nan"}
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


def names(expression):
    """({metric: {labels in its braces}}, {labels of groupings})."""
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', expression)
    text = re.sub(r"\[[^\]]*\]", "", text)
    grouped = {label.strip() for part in GROUPING.findall(text) for label in part.split(",") if label.strip()}
    text = GROUPING.sub(" ", text)
    metrics = {}
    for match in re.finditer(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(\{([^}]*)\}|\(|)", text):
        word, behind, inside = match.groups()
        if behind == "(" or word in WORDS:
            continue
        labels = set(re.findall(r"([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)", inside or ""))
        metrics.setdefault(word, set()).update(labels)
    return metrics, grouped
