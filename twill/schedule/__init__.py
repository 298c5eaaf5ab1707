"""The schedule of a loop: its file forms, its independent checker and its pictures.

`problem` and `schedule` are the data; `graph_file` and `files` their JSON forms; `checker` judges a
schedule without knowing how it was found; `render` draws it.
Nothing here imports the solver, torch or triton.
"""
