"""What a destination recognises a person by: each value as that destination wants it written, and its hash.

`tables` says which fields a destination has, `fields` makes the key of one; the rest are the rules by which they are
written. Nothing here is for identity tokens, whose one form is `tributary_domain.normalization`'s.
"""
