from tiny_collection import collection, recipe_file

__all__ = ["collection", "recipe_file"]
