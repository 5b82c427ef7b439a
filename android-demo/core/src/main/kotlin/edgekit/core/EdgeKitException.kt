package edgekit.core

/**
 * A failure that an app can meet: what happened and where, and what to do about it.
 *
 * The codes are those of edgekit's Python side; only [Cancelled] is of this side alone.
 *
 * @property code stable name of the failure, for programs
 * @property hint what can be done, empty where nothing can
 */
public sealed class EdgeKitException(
    public val code: String,
    message: String,
    public val hint: String,
    cause: Throwable? = null,
) : Exception(message, cause) {

    /** The bundle's files do not match its manifest, or one of them is damaged. */
    public class BundleCorrupt(message: String, cause: Throwable? = null) : EdgeKitException(
        "bundle-corrupt",
        message,
        "Do not use this bundle: export it again or fetch a clean copy.",
        cause,
    )

    /** A newer edgekit wrote the manifest. */
    public class BundleTooNew(message: String) :
        EdgeKitException("bundle-too-new", message, "Update the app: its edgekit is too old for this bundle.")

    /** A name in the manifest points outside the bundle's folder. */
    public class UnsafeInput(message: String) : EdgeKitException(
        "unsafe-input",
        message,
        "Do not use this bundle: a name in it points outside its folder.",
    )

    /** There is no such folder. */
    public class InputMissing(message: String) :
        EdgeKitException("input-missing", message, "Pass the folder that edgekit export wrote.")

    /** The system denies reading the bundle. */
    public class PermissionRefused(message: String, cause: Throwable? = null) :
        EdgeKitException("permission", message, "Copy the bundle into the app's own files.", cause)

    /** The phone's storage has no room; nothing was left behind. */
    public class StorageFull(message: String, cause: Throwable? = null) :
        EdgeKitException("storage-full", message, "Free some storage on the phone and try again.", cause)

    /** A text is empty, not Unicode, too short or too long for the model. */
    public class TextRefused(message: String, hint: String) : EdgeKitException("text-refused", message, hint)

    /** The call asks for something that does not exist. */
    public class SpecError(message: String, hint: String) : EdgeKitException("spec", message, hint)

    /** A library that the call needs is not in the app. */
    public class Unavailable(message: String, hint: String, cause: Throwable? = null) :
        EdgeKitException("unavailable", message, hint, cause)

    /** Not available in this core or on this machine. */
    public class Unsupported(message: String, hint: String, cause: Throwable? = null) :
        EdgeKitException("unsupported", message, hint, cause)

    /** A bug of edgekit or of a runtime under it. */
    public class InternalError(message: String, cause: Throwable? = null) : EdgeKitException(
        "internal",
        message,
        "This is a bug in edgekit or one of its runtimes; please report it.",
        cause,
    )

    /** The run was cancelled from another thread. */
    public class Cancelled(message: String) : EdgeKitException("cancelled", message, "")
}
