"""Chat templates: as transformers renders them, and without its trust in them."""

from __future__ import annotations

from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from edgekit.bundle.manifest import Cache, Generation
from edgekit.errors import InputRefused, SpecError, TextRefused
from edgekit.runtime.generation.prompt import Prompts
from edgekit.runtime.generation.template import LONGEST_TEMPLATE, render

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>"}
TALK = [
    {"role": "system", "content": "Be kind & brief."},
    {"role": "user", "content": "  What is <b>7 + 5</b>?\n"},
    {"role": "assistant", "content": 'It is "12".'},
    {"role": "user", "content": "und größer?"},
]
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' "
    "+ '\\n' }}{% endfor %}\n{% if add_generation_prompt %}\n"
    "{{ '<|im_start|>assistant\\n' }}\n{% endif %}"
)
LLAMA = """{%- set ns = namespace(system='') %}
{%- if messages[0].role == 'system' %}
    {%- set ns.system = messages[0].content | trim %}
    {%- set messages = messages[1:] %}
{%- endif %}
{{- bos_token }}
{%- for message in messages %}
    {%- if message.role not in ['user', 'assistant'] %}{% continue %}{% endif %}
    {{- '[' ~ message.role ~ ']' ~ message['content'].strip() ~ (message | tojson) }}
    {%- if loop.last %}{% break %}{% endif %}
{%- endfor %}
{%- if add_generation_prompt is defined and add_generation_prompt %}[assistant]{% endif %}"""
TRAINING = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}"
    "{% endgeneration %}{% else %}{{ m.content }}{% endif %}{{ eos_token }}{% endfor %}"
)


@pytest.mark.parametrize("template", [CHATML, LLAMA, TRAINING])
@pytest.mark.parametrize("answer", [True, False])
def test_as_transformers_renders_it(template: str, answer: bool) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    theirs, _ = render_jinja_template(
        [TALK], chat_template=template, add_generation_prompt=answer, **SPECIAL
    )
    assert render(template, TALK, SPECIAL, answer=answer) == theirs[0]


def test_a_template_may_refuse() -> None:
    template = "{{ raise_exception('system role not supported') }}"
    with pytest.raises(TextRefused, match="system role not supported"):
        render(template, TALK, SPECIAL)


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__.__mro__ }}{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ 1 / 0 }}",
        "{{ messages[9].content }}",
        "{{ messages | tojson(indent=[]) }}{{ nothing() }}",
        "{% for i in range(99999999) %}x{% endfor %}",
        "{% for i in range(99999) %}{% for j in range(99999) %}0123456789{% endfor %}{% endfor %}",
        "x" * (LONGEST_TEMPLATE + 1),
    ],
)
def test_a_template_that_is_broken_or_hostile_is_refused(template: str) -> None:
    with pytest.raises(InputRefused, match="chat template cannot be used"):
        render(template, TALK, SPECIAL)


def prompts(context: int = 40, **changes: Any) -> Prompts:
    """One token a character."""
    vocabulary = {chr(code): code for code in range(128)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    settings: dict[str, Any] = {
        "context": context,
        "cache": Cache(layers=1, bytes_per_token=8, bytes=8 * context),
        "chat_template": "{% for m in messages %}{{ m.role[0] }}{{ m.content }};{% endfor %}",
    }
    return Prompts(tokenizer, Generation(**(settings | changes)))


def words(ids: list[int]) -> str:
    return "".join(map(chr, ids))


def test_a_prompt_is_a_message_or_a_text() -> None:
    known = prompts()
    assert words(known.one("hello")) == "uhello;"
    assert words(known.one("hello", system="be")) == "sbe;uhello;"
    assert words(known.one("hello", raw=True)) == "hello"
    assert words(prompts(chat_template=None).one("hello")) == "hello"
    with pytest.raises(SpecError, match="no system message"):
        known.one("hello", raw=True, system="be")
    with pytest.raises(SpecError, match="no chat template"):
        prompts(chat_template=None).one("hello", system="be")
    for bad in ("", "\ud800"):
        for raw in (True, False):
            with pytest.raises(TextRefused):
                known.one(bad, raw=raw)


def turns(count: int) -> list[dict[str, str]]:
    pairs = [(f"ask{n}", f"say{n}") for n in range(count)]
    told = [
        {"role": role, "content": text}
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    return [*told, {"role": "user", "content": "last"}]


def test_the_oldest_turns_go_and_the_system_stays() -> None:
    known = prompts(40)
    # Six characters a message, five of the last, four of the system.
    assert known.fitting("sys", turns(2), 5)[1] == 0
    ids, dropped = known.fitting("sys", turns(3), 5)
    assert words(ids) == "ssys;uask1;asay1;uask2;asay2;ulast;"
    assert dropped == 2
    assert words(known.fitting("sys", turns(3), 29)[0]) == "ssys;ulast;"
    with pytest.raises(TextRefused, match="11 tokens; the context has 40, of which 30"):
        known.fitting("sys", turns(3), 30)
