package edgekit.demo

import android.app.Activity
import android.app.Instrumentation
import android.os.Bundle
import android.os.Process
import edgekit.core.engine.OnnxDelegate
import edgekit.core.runner.Runner
import java.io.File

/**
 * edgekit's runner inside the app: `am instrument -w -e job NAME PACKAGE/edgekit.demo.RunnerInstrumentation`.
 *
 * The job's files lie in the app's files under `edgekit-job`; events go there as well, into
 * `NAME.events`, for `run-as` to read while it runs. `-e delegate nnapi` or `xnnpack` chooses another
 * part of ONNX Runtime. The result holds the exit status of the native runner.
 */
class RunnerInstrumentation : Instrumentation() {
    private var job = "job"
    private var delegate: OnnxDelegate? = OnnxDelegate.CPU

    override fun onCreate(arguments: Bundle?) {
        super.onCreate(arguments)
        job = arguments?.getString("job") ?: job
        val asked = arguments?.getString("delegate") ?: OnnxDelegate.CPU.name
        delegate = OnnxDelegate.values().firstOrNull { it.name.equals(asked, ignoreCase = true) }
        start()
    }

    override fun onStart() {
        super.onStart()
        val status = delegate?.let { run(File(targetContext.filesDir, FOLDER), it) } ?: USAGE
        finish(if (status == 0) Activity.RESULT_OK else Activity.RESULT_CANCELED, Bundle().apply { putInt("status", status) })
    }

    private fun run(folder: File, delegate: OnnxDelegate): Int {
        folder.mkdirs()
        if (job != File(job).name || job.startsWith('.')) return USAGE
        return File(folder, "$job.events").bufferedWriter().use { events ->
            Runner(folder, delegate, Process.myPid().toLong()) { line ->
                events.write(line)
                events.write("\n")
                events.flush()
            }.run(job)
        }
    }

    private companion object {
        const val FOLDER = "edgekit-job"
        const val USAGE = 64
    }
}
