"""Templates in the language that Tera and this package share, made at random.

Used by the comparison with the real engine, which asks one thing: what Tera renders, we render to the same text.
So most of what is made here should be accepted by Tera, and a good part of it should be odd. What
``format.md`` section 2 takes out of the comparison is not made: the clock, randomness, printed objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from random import Random

__all__ = ["CONTEXT", "template"]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CONTEXT: Final[dict[str, Any]] = {
    "s": "Hello, wide-World  2x",
    "u": "ÀÉ ßæ Łø é\u0301 ŉ İI",
    "e": "",
    "ws": " \t a\r\nb\n ",
    "html": '<b class="x">&amp; it\'s /</b> <br/>\n<i>',
    "num": "12",
    "flt": "-3.75",
    "day": "2025-03-09",
    "ts": "2025-03-09T08:07:06+02:00",
    "n": 7,
    "z": 0,
    "neg": -3,
    "big": 9_007_199_254_740_991,
    "f": 2.5,
    "w": 2.0,
    "tiny": 1e-7,
    "huge": 1e21,
    "t": True,
    "b": False,
    "nul": None,
    "none_at_all": [],
    "l": [3, 1, 2],
    "ls": ["b", "a", "C", "a", "é"],
    "lf": [1.5, -2.0, 0.25],
    "lm": [1, "a", None, True, 2.5],
    "ll": [[1, 2], [], ["x"]],
    "lo": [
        {"k": "x", "v": 2, "d": {"e": "q"}},
        {"k": "y", "v": 1, "d": {"e": "p"}},
        {"k": "x", "v": None},
        {"v": 3, "d": {}},
    ],
    "o": {"b": {"c": "deep", "l": [1, 2]}, "a": 1, "key with space": True},
}
_STRINGS: Final = (
    "a",
    "",
    " ",
    "l",
    "o, w",
    "x",
    "-",
    "ÀÉ",
    "2",
    "Hello",
    ".*",
    "{",
    "\\n",
    "\\",
    "a|b",
    "é",
    "%",
)
_PATHS: Final = (
    (
        "o.b.c o.a o['a'] o.b['c'] l.0 l[1] ls.2 ll.0.1 lo.0.k lo[1].d.e o.b.l.1 lo.2.v missing o.missing l.9 "
        'o["key with space"] l[z] o[ls.1] lm[2] lo.3.k loop.index loop.index0 loop.first loop.last x y acc'
    )
    .replace("key with space", "key~with~space")
    .split()
)
_TESTS: Final = _words(
    "defined undefined odd even string number object iterable divisibleby(divisor=2) "
    "starting_with(pat='H') ending_with(pat='x') containing(pat='a') matching(pat='^[A-Z]') "
    "containing(pat=s) divisibleby(divisor=n)"
)
_FILTERS: Final[dict[str, tuple[str, ...]]] = {
    "string": _words(
        "upper lower capitalize title trim trim_start trim_end length reverse wordcount addslashes "
        "striptags spaceless linebreaksbr escape escape_xml safe slugify urlencode urlencode_strict int "
        "float json_encode as_str trim_start_matches trim_end_matches replace truncate split indent "
        "default"
    ),
    "number": _words("abs round pluralize filesizeformat int float json_encode as_str default"),
    "array": _words(
        "length reverse first last nth slice sort unique filter map concat join json_encode as_str default"
    ),
    "object": _words("length get json_encode"),
}
_TYPED: Final[dict[str, tuple[str, ...]]] = {
    "string": ("s", "u", "e", "ws", "html", "num", "flt", "day", "ls.1", "o.b.c", "x"),
    "number": ("n", "z", "neg", "big", "f", "w", "tiny", "huge", "l.0", "loop.index", "x", "lf.1"),
    "array": ("l", "ls", "lf", "lm", "ll", "lo", "none_at_all", "range(end=4)", "o.b.l"),
    "object": ("o", "o.b", "lo.0"),
}
_CHANGING: Final = {
    "length": "number",
    "wordcount": "number",
    "int": "number",
    "float": "number",
    "split": "array",
} | dict.fromkeys(("json_encode", "as_str", "join", "pluralize", "filesizeformat"), "string")
"""What a filter gives where that is not what it was given."""
_ARGUMENTS: Final[dict[str, tuple[str, ...]]] = {
    "trim_start_matches": ("pat=S",),
    "trim_end_matches": ("pat=S",),
    "replace": ("from=S, to=S",),
    "truncate": ("length=N", "length=N, end=S", "end=S", ""),
    "split": ("pat=S",),
    "join": ("sep=S",),
    "indent": ("", "prefix=S", "first=B", "blank=B", "prefix=S, first=B, blank=B"),
    "nth": ("n=N",),
    "slice": ("start=N", "end=N", "start=N, end=N"),
    "sort": ("attribute=A",),
    "unique": ("attribute=A", "case_sensitive=B", "attribute=A, case_sensitive=B"),
    "filter": ("attribute=A", "attribute=A, value=E"),
    "map": ("attribute=A",),
    "concat": ("with=E",),
    "get": ("key=K", "key=K, default=E"),
    "round": ("method='ceil'", "method='floor'", "precision=N", "method='common', precision=N", "method='x'"),
    "pluralize": ("singular=S, plural=S", "plural=S"),
    "int": ("default=N", "base=N", "base=16", "base=2, default=N"),
    "float": ("default=1.5",),
    "json_encode": ("pretty=B",),
    "default": ("value=E",),
}
_DATES: Final = (
    "date",
    "date(format='%d/%m/%y %H:%M')",
    "date(format='%A %e %b %Y %j')",
    "date(timezone='America/New_York')",
    "date(format='%s')",
)
"""Apart from the other filters: Tera aborts the process on seconds that are no date."""
_ATTRIBUTES: Final = ('"k"', '"v"', '"d.e"', '"nope"', '"d"')


class _Maker:
    """Writes one template; `random` decides, so that a seed or a shrinking search can."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.loops = 0
        self.budget = 40

    def pick(self, options: Any) -> Any:
        return options[self.random.randrange(len(options))]

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    # -- expressions

    def literal(self) -> str:
        kind = self.random.randrange(6)
        if kind == 0:
            return self.pick(("0", "1", "2", "-1", "10", "255", "1000000"))
        if kind == 1:
            return self.pick(("0.5", "2.0", "-1.25", "3.14159", "1000000.0"))
        if kind == 2:
            return self.pick(("true", "false", "True", "False"))
        if kind == 3:
            return "[" + ", ".join(self.basic(0) for _ in range(self.random.randrange(4))) + "]"
        return self.string()

    def string(self) -> str:
        quote = self.pick("\"'`")
        return quote + self.pick(_STRINGS) + quote

    def basic(self, depth: int) -> str:
        self.budget -= 1
        kind = self.random.randrange(12)
        if kind < 6 or self.budget < 0:
            return self.pick(tuple(CONTEXT))
        if kind < 8:
            return self.pick(_PATHS).replace("~", " ")
        if kind == 8 and depth > 0:
            return f"({self.arithmetic(depth - 1)})"
        if kind == 9:
            return self.call(depth)
        return self.literal()

    def call(self, depth: int) -> str:
        return self.pick(
            (
                "range(end=3)",
                "range(start=1, end=6, step_by=2)",
                "get_env(name='NOT_THERE', default='d')",
                "self::plain()",
                f"({self.pick(('day', 'ts', 'n', 'neg'))} | {self.pick(_DATES)})",
                f"self::echo(a={self.filtered(max(depth - 1, 0))})",
                f"self::echo(a={self.literal()}, b={self.basic(0)})",
            )
        )

    def arithmetic(self, depth: int) -> str:
        parts = [self.basic(depth)]
        while self.chance(30) and len(parts) < 7:
            parts += [self.pick(("+", "-", "*", "/", "%", " ~ ", "+", "~")), self.basic(depth)]
        return self.pick((" ", "")).join(parts) if "~" not in "".join(parts) else " ".join(parts)

    def filtered(self, depth: int) -> str:
        """An expression with a filter chain: most fit what they are applied to, as Tera refuses the others."""
        if self.chance(25):
            text, kind = self.arithmetic(depth), self.pick(tuple(_FILTERS))
        else:
            kind = self.pick(tuple(_TYPED))
            text = self.pick(_TYPED[kind])
        while self.chance(60) or kind == "object":
            name = self.pick(_FILTERS[kind])
            text += self.pick((" | ", "|")) + self.filter_call(name, depth)
            kind = _CHANGING.get(name, kind)
        return str(text)

    def filter_call(self, name: str, depth: int) -> str:
        made = self.arguments(self.pick(_ARGUMENTS.get(name, ("",))), depth)
        return f"{name}({made})" if made else name

    def arguments(self, pattern: str, depth: int) -> str:
        made = []
        for part in pattern.split(", ") if pattern else []:
            name, _, kind = part.partition("=")
            value = {
                "S": self.string,
                "N": lambda: self.pick(("0", "1", "2", "3", "5", "40", "n", "z")),
                "B": lambda: self.pick(("true", "false", "t")),
                "A": lambda: self.pick(_ATTRIBUTES),
                "K": lambda: self.pick(('"a"', '"b"', '"nope"', "e")),
                "E": lambda: self.filtered(max(depth - 1, 0)),
            }.get(kind, lambda kind=kind: kind)()
            made.append(f"{name}={value}")
        return ", ".join(made)

    def condition(self, depth: int) -> str:
        text = self.comparison(depth)
        while depth > 0 and self.chance(30):
            text += f" {self.pick(('and', 'or'))} {self.comparison(depth - 1)}"
        # Tera loses a `not` behind a parenthesis, and one before a comparison that is printed.
        return f"({text})" if self.chance(10) and not text.startswith("not ") else text

    def comparison(self, depth: int) -> str:
        kind = self.random.randrange(8)
        if kind == 0:
            return f"{self.pick(tuple(CONTEXT))} {self.pick(('is', 'is not'))} {self.pick(_TESTS)}"
        if kind == 1:
            return f"{self.filtered(depth)} {self.pick(('in', 'not in'))} {self.filtered(depth)}"
        if kind < 4:
            return str(self.pick(("", "", "!")).replace("!", "not ") + self.pick(tuple(CONTEXT)))
        return (
            f"{self.filtered(depth)} {self.pick(('==', '!=', '<', '<=', '>', '>='))} {self.filtered(depth)}"
        )

    # -- statements

    def marker(self, opener: str, inside: str) -> str:
        closer = {"{{": "}}", "{%": "%}", "{#": "#}"}[opener]
        left, right = (self.pick(("", "", "", "-")) for _ in range(2))
        return f"{opener}{left} {inside} {right}{closer}"

    def tag(self, inside: str) -> str:
        return self.marker("{%", inside)

    def text(self) -> str:
        return str(self.pick(("a", " b ", "\n", "\n\n  ", "é", "} }", "{ x }", "\r\n", "# c\n", "=", "\t.")))

    def body(self, depth: int) -> str:
        return "".join(self.item(depth) for _ in range(1 + self.random.randrange(3)))

    def item(self, depth: int) -> str:
        self.budget -= 2
        kind = self.random.randrange(16)
        if kind < 4 or self.budget < 0:
            return self.text()
        if kind < 9 or depth == 0:
            inside = self.filtered(2) if self.chance(70) else self.condition(2)
            return self.marker("{{", inside)
        makers = (self.if_, self.for_, self.for_, self.set_, self.section, self.small, self.if_)
        return str(makers[kind - 9](depth - 1))

    def if_(self, depth: int) -> str:
        text = self.tag(f"if {self.condition(2)}") + self.body(depth)
        if self.chance(30):
            text += self.tag(f"elif {self.condition(1)}") + self.body(depth)
        if self.chance(40):
            text += self.tag("else") + self.body(depth)
        return text + self.tag("endif")

    def for_(self, depth: int) -> str:
        if self.chance(25):
            head = f"for x, y in {self.pick(('o', 'o.b', 'lo.0', 'l', 'none_at_all'))}"
        else:
            head = f"for x in {self.filtered(1) if self.chance(40) else self.pick(('l', 'ls', 'lm', 'lo', 's', 'u', 'none_at_all', '[1, 2]'))}"
        self.loops += 1
        body = self.body(depth)
        if self.chance(15):
            body += (
                self.tag(f"if {self.condition(0)}")
                + self.tag(self.pick(("break", "continue")))
                + self.tag("endif")
            )
            body += self.text()
        self.loops -= 1
        if self.chance(20):  # Tera knows no white space control in and around the `else` of a loop
            otherwise = (
                self.body(depth)
                .replace("{%-", "{%")
                .replace("-%}", "%}")
                .replace("{{-", "{{")
                .replace("-}}", "}}")
            )
            return f"{{% {head} %}}{body}{{% else %}}{otherwise.replace('{#-', '{#').replace('-#}', '#}')}{{% endfor %}}"
        return self.tag(head) + body + self.tag("endfor")

    def set_(self, _depth: int) -> str:
        word = self.pick(("set", "set_global"))
        return self.tag(f"{word} {self.pick(('x', 'acc'))} = {self.filtered(2)}")

    def section(self, depth: int) -> str:
        call = self.filter_call(self.pick(_FILTERS["string"]), 1)
        return self.tag(f"filter {call}") + self.body(depth) + self.tag("endfilter")

    def small(self, _depth: int) -> str:
        return str(
            self.pick(
                (
                    self.marker("{#", "a {{ comment }}"),
                    self.tag("raw") + " {{ not read }} {% if %}\n" + self.tag("endraw"),
                    self.tag("include 'part.tera'"),
                    self.tag("include ['nope.tera', 'part.tera']"),
                    self.tag("include 'nope.tera' ignore missing"),
                    "{{ x ~ loop.index }}",
                )
            )
        )


_MACROS: Final = (
    "{% macro plain() %} p\n{% endmacro plain %}{% macro echo(a, b='d') -%} [{{ a }}|{{ b }}]{%- endmacro %}"
)


def template(random: Random) -> str:
    """One template; macros ``self::plain()`` and ``self::echo(a, b)`` are defined where they are called."""
    maker = _Maker(random)
    text = "".join(maker.item(3) for _ in range(1 + random.randrange(4)))
    return (_MACROS if "self::" in text else "") + text
