package edgekit.demo

import edgekit.core.bundle.Manifest
import edgekit.demo.screens.AskScreen
import edgekit.demo.screens.BenchmarkScreen
import edgekit.demo.screens.CardScreen
import edgekit.demo.screens.ChatScreen
import edgekit.demo.screens.ClassifyScreen
import edgekit.demo.screens.EntitiesScreen
import edgekit.demo.screens.GenerationBenchmarkScreen
import edgekit.demo.screens.MaskScreen
import edgekit.demo.screens.OwnLabelsScreen
import edgekit.demo.screens.SearchScreen
import edgekit.demo.screens.SelfTestScreen
import edgekit.demo.screens.WriteScreen
import edgekit.sdk.Session

/** Something to do with a bundle. */
interface Screen {
    /** In an Intent. */
    val name: String

    val title: Int

    fun fits(manifest: Manifest): Boolean

    /** Builds the widgets. Called again after each rotation. */
    fun show(page: Page, session: Session)

    companion object {
        val ALL = listOf(
            SearchScreen, ClassifyScreen, OwnLabelsScreen, EntitiesScreen, AskScreen, MaskScreen, ChatScreen,
            WriteScreen, CardScreen, SelfTestScreen, BenchmarkScreen, GenerationBenchmarkScreen,
        )

        fun called(name: String?): Screen = ALL.firstOrNull { it.name == name } ?: CardScreen
    }
}
