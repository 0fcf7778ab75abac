"""Training: loader, step, handlers, and the Ignite trainer over them."""
