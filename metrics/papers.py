"""What is to be cited by several files here? BibTeX entries, as in `SOURCES`."""

GOODFELLOW_2014 = """@inproceedings{goodfellow2014generative,
    author = {Goodfellow, Ian and Pouget-Abadie, Jean and Mirza, Mehdi and Xu, Bing and
    Warde-Farley, David and Ozair, Sherjil and Courville, Aaron and Bengio, Yoshua},
    title = {Generative Adversarial Nets},
    booktitle = {Advances in Neural Information Processing Systems 27},
    year = {2014}, eprint = {1406.2661}, archivePrefix = {arXiv}}"""
THEIS_2016 = """@inproceedings{theis2016note,
    author = {Theis, Lucas and van den Oord, Aäron and Bethge, Matthias},
    title = {A Note on the Evaluation of Generative Models},
    booktitle = {International Conference on Learning Representations},
    year = {2016}, eprint = {1511.01844}, archivePrefix = {arXiv}}"""
SRIVASTAVA_2017 = """@inproceedings{srivastava2017veegan,
    author = {Srivastava, Akash and Valkov, Lazar and Russell, Chris and Gutmann, Michael U. and
        Sutton, Charles},
    title = {{VEEGAN}: Reducing Mode Collapse in {GANs} using Implicit Variational Learning},
    booktitle = {Advances in Neural Information Processing Systems},
    year = {2017}}"""
