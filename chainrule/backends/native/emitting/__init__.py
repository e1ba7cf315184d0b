"""From a group to the text of a function: how loops are walked, how wide vectors are. No value moves any more."""
