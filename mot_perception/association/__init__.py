"""Who is who: similarity cues and their assignment."""
