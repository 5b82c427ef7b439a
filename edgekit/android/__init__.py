"""Android projects over a bundle, their APKs, and what an APK must hold."""
