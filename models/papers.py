"""What is to be cited by several files here? BibTeX entries, as in `SOURCES`."""

GOODFELLOW_2014 = """@inproceedings{goodfellow2014generative,
    author = {Goodfellow, Ian and Pouget-Abadie, Jean and Mirza, Mehdi and Xu, Bing and
    Warde-Farley, David and Ozair, Sherjil and Courville, Aaron and Bengio, Yoshua},
    title = {Generative Adversarial Nets},
    booktitle = {Advances in Neural Information Processing Systems 27},
    year = {2014}, eprint = {1406.2661}, archivePrefix = {arXiv}}"""
GOODFELLOW_2013 = """@inproceedings{goodfellow2013maxout,
    author = {Goodfellow, Ian and Warde-Farley, David and Mirza, Mehdi and Courville, Aaron and
    Bengio, Yoshua},
    title = {Maxout Networks},
    booktitle = {Proceedings of the 30th International Conference on Machine Learning},
    year = {2013}, eprint = {1302.4389}, archivePrefix = {arXiv}}"""
BENGIO_2013 = """@inproceedings{bengio2013better,
    author = {Bengio, Yoshua and Mesnil, Grégoire and Dauphin, Yann and Rifai, Salah},
    title = {Better Mixing via Deep Representations},
    booktitle = {Proceedings of the 30th International Conference on Machine Learning},
    year = {2013}, eprint = {1207.4404}, archivePrefix = {arXiv}}"""
