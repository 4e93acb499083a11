"""How long the equation takes on a machine, what it holds, launches and waits for: the table of `torchmag bench`.

`cases` says what is measured, `counting` how launches and waits are counted, `equation` times one mesh in one precision, `worker` is the
process that does so, `table` starts the processes one after another and prints what they answer.
"""
