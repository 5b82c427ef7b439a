"""Customer messages by what must happen next: fraud, outage, billing, delivery, account, praise."""

from __future__ import annotations

import random
from typing import Any

from edgekit.packs.templates import capital, fill, part

TASK = "text-classification"
METRIC = "macro F1"
BUDGET = "macro F1 of at least 0.90 at no more than 10 MB"
SIZES = {"train": 1200, "dev": 200, "test": 300}
KEYS = ("text",)
LABELS = ("account", "billing", "delivery", "fraud", "outage", "praise")
CARD = """\
One message of a customer, one of six labels: account, billing, delivery, fraud, outage, praise.

The score says whether a model can tell what a message asks for when the words of other labels stand
in it too: four messages in ten carry a sentence that says what they are *not* about ("I was charged
correctly, that is fine"). Templates of train, dev and test differ; names, sums and things do not.

It does not say how a model does on real messages: these are short, polite, in English, without
spelling mistakes, and the six labels are equally frequent, which fraud never is."""

_WORDS = {
    "sum": ("12.40", "39.99", "86.00", "149.90", "240.00", "310.75"),
    "thing": ("headphones", "kettle", "jacket", "keyboard", "lamp", "backpack", "blender"),
    "shop": ("a shop that I never heard of", "a store abroad", "a betting site", "a jeweller"),
    "day": ("Monday", "Tuesday", "Thursday", "Friday", "Sunday"),
    "month": ("January", "March", "May", "August", "October"),
    "page": ("start page", "app", "checkout", "map", "search page", "video call"),
    "person": ("Anna", "Mr Okafor", "your driver", "Lena at the desk", "the technician"),
    "town": ("Leeds", "Porto", "Graz", "Lyon", "Ghent"),
}

_TEMPLATES: dict[str, tuple[str, ...]] = {
    "fraud": (
        "There is a payment of {sum} to {shop} on my card that I never made.",
        "Somebody in {town} bought things with my card number on {day}.",
        "I got a text that asks for my code so that {sum} can be released. Was that you?",
        "My card was used at {shop} while it lay in my drawer.",
        "Block my card at once, a stranger drew {sum} from it in {town}.",
        "A man on the phone said he was from your bank and wanted my password.",
        "Three payments of {sum} left my account on {day} and none is mine.",
        "I typed my card number into a page that only looked like yours.",
        "Someone took out a contract in my name in {town}.",
        "A caller had me confirm {sum} to {shop}, and now he does not answer any more.",
    ),
    "outage": (
        "The {page} has not loaded since {day}.",
        "Your {page} shows nothing but a white screen.",
        "Every time I open the {page} it ends with error 502.",
        "Nobody in {town} can reach the {page} this morning.",
        "The {page} spins forever and then gives up.",
        "Nothing works: the {page} is down on all our machines.",
        "We have had no connection in {town} since {day} evening.",
        "The {page} crashes as soon as I touch it.",
        "Is there a failure in {town}? The whole street is without signal.",
        "I get a timeout on the {page}, whichever browser I try.",
    ),
    "billing": (
        "The invoice for {month} says {sum}, but we agreed on less.",
        "I was billed twice for the {thing}.",
        "Why does my bill rise by {sum} in {month}?",
        "Please send me the invoice of the {thing} once more, with our VAT number.",
        "You still owe me a refund of {sum} for the {thing}.",
        "The discount for {month} is missing from my invoice.",
        "Can I pay the {sum} in two instalments?",
        "My direct debit of {sum} was taken on {day} instead of the first.",
        "The receipt for the {thing} has the wrong address of our company.",
        "I gave the {thing} back, yet the {sum} never came back to me.",
    ),
    "delivery": (
        "My {thing} should have come on {day} and is still not here.",
        "The parcel with the {thing} went to {town} instead of my house.",
        "The {thing} arrived with a broken lid.",
        "Where is the {thing} that I ordered in {month}?",
        "Tracking has said 'on its way' for the {thing} since {day}.",
        "The box was empty, the {thing} was not in it.",
        "I got a {thing} in the wrong colour.",
        "Can the {thing} be handed to my neighbour on {day}?",
        "The courier left the {thing} in the rain and it is soaked.",
        "It says delivered on {day}, but there is no {thing} at my door.",
    ),
    "account": (
        "I cannot log in since I changed my phone.",
        "Please change my e-mail address and my surname.",
        "How do I delete my profile and all that you know of me?",
        "The link to set a new password has run out.",
        "I moved to {town}; where do I change my address?",
        "My user name is taken over by an old profile of mine, please join the two.",
        "I need a second user for {person} on our contract.",
        "The code for the login never arrives on my phone.",
        "Please take me off your newsletter.",
        "My profile is locked after three wrong passwords.",
    ),
    "praise": (
        "{person} was so patient with me on {day}, thank you.",
        "The new {page} is a joy to use.",
        "I love the {thing}, best that I ever had.",
        "Just wanted to say that the help in {town} was great.",
        "Everything came early and well packed. Keep it up!",
        "Please tell {person} that the problem is solved and I am happy.",
        "Five stars for the {thing}.",
        "I have been with you for years and was never let down.",
        "What a friendly voice on the phone on {day}!",
        "The {page} is so much faster now, well done.",
    ),
}

# What a message is not about, in the words of the label that it denies.
_DENIALS: dict[str, tuple[str, ...]] = {
    "fraud": ("All payments on my card are mine.", "No stranger used my card, do not worry."),
    "outage": ("The app itself runs well.", "The page loads, that is not it."),
    "billing": ("I was charged correctly, that is fine.", "The invoice is in order."),
    "delivery": ("The parcel came in time.", "The courier was not the problem."),
    "account": ("I can log in without trouble.", "My password works."),
    "praise": ("I wish I could praise you today.", "Usually I am happy with you."),
}
_OPENINGS = (
    "",
    "",
    "Hello, ",
    "Hi there. ",
    "Good morning. ",
    "Dear team, ",
    "To whom it may help: ",
)
_CLOSINGS = ("", "", " Please answer soon.", " Thanks.", " Kind regards", " I am waiting for news.")
_DENIED = 0.4


def row(draw: random.Random, split: str) -> dict[str, Any]:
    """One message and its label."""
    label = draw.choice(LABELS)
    said = fill(draw.choice(part(_TEMPLATES[label], split)), _WORDS, draw).text
    sentences = [capital(said)]
    if draw.random() < _DENIED:
        other = draw.choice([name for name in LABELS if name != label])
        sentences.insert(draw.randint(0, 1), draw.choice(_DENIALS[other]))
    text = draw.choice(_OPENINGS) + " ".join(sentences) + draw.choice(_CLOSINGS)
    return {"text": text, "label": label}
