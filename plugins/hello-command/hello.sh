#!/bin/sh
# hello-command: an ordinary script that knows nothing of Liongate. It greets whatever it reads.
input=$(cat)
printf 'Hello from hello-command: %s\n' "$input"
