package edgekit.core.tokenizer

import edgekit.core.EdgeKitException

/** Cuts drafts to [most] tokens together, those of the template left out. */
internal fun truncate(drafts: List<Draft>, how: Truncation, most: Int): List<Draft> {
    if (most < 0) {
        throw EdgeKitException.SpecError("at most ${how.most} tokens", "The model's own tokens alone are more.")
    }
    val sizes = drafts.map { it.size }
    val over = sizes.sum() - most
    if (over <= 0) return drafts
    if (drafts.size == 1 && how.cut != Cut.ONLY_SECOND) return listOf(cut(drafts[0], most, how))
    return when (how.cut) {
        Cut.LONGEST_FIRST -> {
            val (first, second) = shares(sizes[0], sizes[1], most)
            listOf(cut(drafts[0], first, how), cut(drafts[1], second, how))
        }
        Cut.ONLY_FIRST -> listOf(shortened(drafts[0], over, how), drafts[1])
        Cut.ONLY_SECOND -> {
            if (drafts.size == 1) throw EdgeKitException.SpecError("there is no second text to cut", "Cut the first.")
            listOf(drafts[0], shortened(drafts[1], over, how))
        }
    }
}

private fun shares(first: Int, second: Int, most: Int): Pair<Int, Int> {
    var short = minOf(first, second)
    var long = if (short > most) short else maxOf(short, most - short)
    if (short + long > most) {
        short = most / 2
        long = short + most % 2
    }
    return if (first > second) long to short else short to long
}

private fun shortened(draft: Draft, over: Int, how: Truncation): Draft {
    if (draft.size <= over) {
        throw EdgeKitException.TextRefused(
            "the other text alone is too long for ${how.most} tokens",
            "Shorten it, or let both be cut.",
        )
    }
    return cut(draft, draft.size - over, how)
}

private fun cut(draft: Draft, most: Int, how: Truncation): Draft {
    if (draft.size <= most) return draft
    if (how.fromLeft) return draft.part(draft.size - most, draft.size)
    draft.cut(most)
    return draft
}
