"""A trained run behind HTTP: `chainrule serve RUN`. Needs the extra `serve`.

`answering.py` asks the model, many questions at once; `batching.py` brings together what arrives together; `reading.py`
takes requests apart and refuses wrong ones; `limits.py` says how much and how often; `measuring.py` counts; `app.py`
joins these; `server.py` runs it and lets nobody hold a connection for nothing; `page.py` has the page to try it.
"""
