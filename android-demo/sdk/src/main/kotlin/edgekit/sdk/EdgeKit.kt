package edgekit.sdk

import android.content.Context
import edgekit.core.engine.EngineFactory
import edgekit.core.engine.OnnxRuntime

/**
 * Language models in an app: private, checked, with the answers that edgekit measured.
 *
 * ```
 * private val edgekit by lazy { EdgeKit.open(this, BundleSource.asset("edgekit/minilm-android-arm64")) }
 *
 * fun search(asked: String) {
 *     edgekit.ask(asked).then(
 *         { answer -> show((answer as Answer.Embedding).vector) },
 *         { error -> show("${error.message} ${error.hint}") },
 *     )
 * }
 *
 * override fun onDestroy() {
 *     edgekit.close()
 *     super.onDestroy()
 * }
 * ```
 */
public object EdgeKit {
    /**
     * Starts to load a bundle and returns at once. The first start copies it into the app's own files
     * and checks every byte; later ones check the copy.
     *
     * @param source where the bundle lies
     * @param engines which runtime answers: `OnnxRuntime()`, or `ExecuTorch()` of the module executorch
     * @param tuning asset that `edgekit bench --tuning` wrote, for the number of threads; one that is
     *   missing or damaged is left out, see [Session.tuningProblem]
     * @return a session that takes questions at once; what is wrong with the bundle is told by
     *   [Session.ready], and to everyone who asks
     */
    @JvmStatic
    @JvmOverloads
    public fun open(
        context: Context,
        source: BundleSource,
        engines: EngineFactory = OnnxRuntime(),
        tuning: String? = null,
    ): Session = Session(context.applicationContext, source, engines, tuning)
}
