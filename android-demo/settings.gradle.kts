pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositories {
        google()
        mavenCentral()
    }
}

rootProject.name = "edgekit-android"

// A project that edgekit made leaves out the runtime that it does not use.
for (module in listOf("core", "sdk", "executorch", "app")) {
    if (file(module).isDirectory) include(":$module")
}
