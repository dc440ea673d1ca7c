"""Who asks: LoadGen, and loads of our own. All of them drive the same dispatcher."""
