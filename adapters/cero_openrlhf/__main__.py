"""`python -m cero_openrlhf …` in place of `python -m openrlhf.cli.train_ppo_ray …`."""

from cero_openrlhf.launcher import main

if __name__ == "__main__":
    main()
