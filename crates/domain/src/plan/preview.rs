//! What a person sees before the click.
