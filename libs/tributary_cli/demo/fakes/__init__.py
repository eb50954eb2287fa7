"""Ad destinations as their documentation says they are, for the demo and the tests: each remembers what it counts.

```
fake      what all share: a request, a reply, what was counted
google  meta  linkedin  tiktok      one each: what is refused and how, what is known again
server    answers over HTTP, and can be told to fail as networks do
```
"""
