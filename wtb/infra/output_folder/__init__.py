"""An execution's output folder, kept by digest and put back."""
