"""What a `TestBench` can do, by subject: a line or two for each verb; the work lives in the room named after it."""
