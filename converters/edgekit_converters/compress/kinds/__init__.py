"""What a stage of a recipe can be, one file each."""
