package edgekit.demo

import android.app.Activity
import android.content.res.ColorStateList
import android.os.Build
import android.text.InputFilter
import android.text.InputType
import android.text.TextUtils
import android.util.TypedValue
import android.view.Gravity
import android.view.View
import android.view.ViewGroup.LayoutParams.MATCH_PARENT
import android.view.ViewGroup.LayoutParams.WRAP_CONTENT
import android.widget.Button
import android.widget.EditText
import android.widget.FrameLayout
import android.widget.LinearLayout
import android.widget.ScrollView
import android.widget.TextView
import edgekit.core.EdgeKitException
import edgekit.sdk.Reply
import java.text.NumberFormat
import java.util.Locale

/** A column of plain widgets that scrolls; grows with the font and turns with the reading direction. */
class Page(val activity: Activity, val calls: Calls, title: String) {
    private val column = LinearLayout(activity).apply {
        orientation = LinearLayout.VERTICAL
        val edge = pixels(16)
        setPadding(edge, edge, edge, edge)
    }
    private var ids = 1

    // What the theme writes titles with: its own colour for small texts is too pale on a marked word.
    private val ink = themed(android.R.attr.textColorPrimary)

    // The digits of the words around them: a phone's own language may be one that this app does not speak.
    private val numbers = Locale.forLanguageTag(activity.getString(R.string.language))

    init {
        // The insets take the padding of the view that fits them: one view for each.
        val scroll = ScrollView(activity).apply {
            id = SCROLL
            isFillViewport = true
            addView(column)
        }
        val root = FrameLayout(activity).apply { fitsSystemWindows = true }
        root.addView(scroll, FrameLayout.LayoutParams(MATCH_PARENT, MATCH_PARENT))
        activity.setContentView(root)
        activity.title = title
        heading(title, LARGE)
    }

    /** A text of the app's resources. */
    fun words(id: Int): String = activity.getString(id)

    /** A title; TalkBack jumps from one to the next. */
    fun heading(words: String, size: Float = MEDIUM): TextView = text(words).apply {
        textSize = size
        if (Build.VERSION.SDK_INT >= 28) isAccessibilityHeading = true
    }

    fun text(words: CharSequence = ""): TextView = TextView(activity).apply {
        text = words
        textSize = BODY
        setTextColor(ink)
        textAlignment = View.TEXT_ALIGNMENT_VIEW_START
        textDirection = View.TEXT_DIRECTION_LOCALE
        setTextIsSelectable(true)
        visibility = if (words.isEmpty()) View.GONE else View.VISIBLE
    }.also { add(it) }

    /** Text that TalkBack reads out when it changes. */
    fun result(): TextView = text().apply {
        accessibilityLiveRegion = View.ACCESSIBILITY_LIVE_REGION_POLITE
        textDirection = View.TEXT_DIRECTION_FIRST_STRONG
    }

    /** A field with its label above it; what was typed survives rotation and the death of the process. */
    fun field(label: String, lines: Int = 1, filled: String = ""): EditText {
        val named = text(label)
        val warning = result()
        return EditText(activity).apply {
            id = next()
            named.id = next()
            named.labelFor = id
            minLines = lines
            maxLines = lines + 4
            gravity = Gravity.TOP or Gravity.START
            textDirection = View.TEXT_DIRECTION_FIRST_STRONG
            inputType = InputType.TYPE_CLASS_TEXT or InputType.TYPE_TEXT_FLAG_CAP_SENTENCES or
                InputType.TYPE_TEXT_FLAG_MULTI_LINE
            // What the keyboard learns may leave the phone.
            imeOptions = android.view.inputmethod.EditorInfo.IME_FLAG_NO_PERSONALIZED_LEARNING
            if (Build.VERSION.SDK_INT >= 26) importantForAutofill = View.IMPORTANT_FOR_AUTOFILL_NO
            setText(filled)
            filters = arrayOf(InputFilter { typed, from, to, old, start, end ->
                val length = old.length - (end - start) + (to - from)
                val message = activity.getString(R.string.too_long, whole(MOST_TYPED))
                show(warning, if (length > MOST_TYPED) message else "")
                if (length > MOST_TYPED) old.subSequence(start, end) else null
            })
        }.also { add(it) }
    }

    fun button(words: String, onClick: () -> Unit): Button = Button(activity).apply {
        id = next()
        text = words
        isAllCaps = false
        minimumHeight = pixels(48)
        setOnClickListener { onClick() }
    }.also { add(it) }

    fun add(view: View) {
        val space = LinearLayout.LayoutParams(MATCH_PARENT, WRAP_CONTENT).apply { topMargin = pixels(8) }
        column.addView(view, space)
    }

    /** A button that begins a call, one that stops it, how it stands, and its answer in words. */
    fun <T> call(
        tag: String,
        label: String,
        begin: () -> Reply<T>,
        onError: (EdgeKitException) -> Unit = {},
        answer: (T) -> CharSequence,
    ) {
        button(label) { calls.start(tag, begin()) }
        val stop = button(activity.getString(R.string.cancel)) { calls.stop(tag) }
        val status = result()
        val shown = result()
        calls.on<T>(
            tag,
            { busy ->
                stop.visibility = if (busy) View.VISIBLE else View.GONE
                show(status, if (busy) activity.getString(R.string.working) else "")
                if (busy) show(shown, "")
            },
            { error ->
                onError(error)
                showProblem(status, error)
            },
            { show(shown, answer(it)) },
        )
        if (calls.wasBrokenOff(tag)) show(status, words(R.string.broken_off))
    }

    fun show(view: TextView, words: CharSequence) {
        if (!TextUtils.equals(view.text, words)) view.text = words
        view.setTextColor(ink)
        view.visibility = if (words.isEmpty()) View.GONE else View.VISIBLE
    }

    fun showProblem(view: TextView, error: EdgeKitException) {
        if (error is EdgeKitException.Cancelled) return show(view, activity.getString(R.string.cancelled))
        show(view, listOf(error.message.orEmpty(), error.hint).filter { it.isNotEmpty() }.joinToString("\n"))
        view.setTextColor(activity.getColor(R.color.problem))
    }

    fun whole(value: Number): String = NumberFormat.getIntegerInstance(numbers).format(value)

    fun percent(value: Double): String = format(NumberFormat.getPercentInstance(numbers), value, 1)

    fun decimal(value: Double, digits: Int): String = format(NumberFormat.getNumberInstance(numbers), value, digits)

    /** As many digits for each, so that a column of them can be compared. */
    private fun format(form: NumberFormat, value: Double, digits: Int): String {
        form.minimumFractionDigits = digits
        form.maximumFractionDigits = digits
        return form.format(value)
    }

    private fun themed(attribute: Int): ColorStateList {
        val found = TypedValue()
        activity.theme.resolveAttribute(attribute, found, true)
        return activity.getColorStateList(found.resourceId)
    }

    fun pixels(units: Int): Int = Math.round(units * activity.resources.displayMetrics.density)

    /** Ids are counted, so that each widget finds its state again after a rotation. */
    private fun next(): Int = FIRST_ID + ids++

    companion object {
        const val MOST_TYPED = 100_000

        // Above what Android hands out by itself, as it does for labels of fields.
        const val SCROLL = 0x7D000000
        private const val FIRST_ID = 0x7E000000
        private const val LARGE = 24f
        private const val MEDIUM = 18f
        private const val BODY = 16f
    }
}
