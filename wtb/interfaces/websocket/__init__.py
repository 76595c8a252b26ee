"""Events as they happen, over ``/ws``."""
