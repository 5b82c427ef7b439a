package edgekit.core.runner

import edgekit.core.EdgeKitException

/** Why a job ended early; [code] and [status] are those of the native runner's `error` event. */
internal class RunnerFailure(val code: String, message: String, val status: Int = 0) : Exception(message) {
    companion object {
        fun of(error: EdgeKitException): RunnerFailure = when (error) {
            is EdgeKitException.StorageFull -> RunnerFailure("storage-full", error.message.orEmpty())
            is EdgeKitException.InputMissing -> RunnerFailure("missing", error.message.orEmpty())
            is EdgeKitException.Unsupported -> RunnerFailure("inputs", error.message.orEmpty())
            is EdgeKitException.InternalError -> RunnerFailure("model", error.message.orEmpty())
            else -> RunnerFailure("internal", "${error.code}: ${error.message}")
        }
    }
}
