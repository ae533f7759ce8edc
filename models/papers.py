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
MAO_2017 = """@inproceedings{mao2017least,
    author = {Mao, Xudong and Li, Qing and Xie, Haoran and Lau, Raymond Y. K. and Wang, Zhen and
    Smolley, Stephen Paul},
    title = {Least Squares Generative Adversarial Networks},
    booktitle = {Proceedings of the IEEE International Conference on Computer Vision},
    year = {2017}, eprint = {1611.04076}, archivePrefix = {arXiv}}"""
ARJOVSKY_2017 = """@inproceedings{arjovsky2017wasserstein,
    author = {Arjovsky, Martin and Chintala, Soumith and Bottou, Léon},
    title = {{Wasserstein} Generative Adversarial Networks},
    booktitle = {Proceedings of the 34th International Conference on Machine Learning},
    year = {2017}, eprint = {1701.07875}, archivePrefix = {arXiv}}"""
GULRAJANI_2017 = """@inproceedings{gulrajani2017improved,
    author = {Gulrajani, Ishaan and Ahmed, Faruk and Arjovsky, Martin and Dumoulin, Vincent and
    Courville, Aaron},
    title = {Improved Training of {Wasserstein} {GANs}},
    booktitle = {Advances in Neural Information Processing Systems 30},
    year = {2017}, eprint = {1704.00028}, archivePrefix = {arXiv}}"""
MIYATO_2018 = """@inproceedings{miyato2018spectral,
    author = {Miyato, Takeru and Kataoka, Toshiki and Koyama, Masanori and Yoshida, Yuichi},
    title = {Spectral Normalization for Generative Adversarial Networks},
    booktitle = {International Conference on Learning Representations},
    year = {2018}, eprint = {1802.05957}, archivePrefix = {arXiv}}"""
NOWOZIN_2016 = """@inproceedings{nowozin2016fgan,
    author = {Nowozin, Sebastian and Cseke, Botond and Tomioka, Ryota},
    title = {f-{GAN}: Training Generative Neural Samplers using Variational Divergence Minimization},
    booktitle = {Advances in Neural Information Processing Systems 29},
    year = {2016}, eprint = {1606.00709}, archivePrefix = {arXiv}}"""
ZHAO_2017 = """@inproceedings{zhao2017energy,
    author = {Zhao, Junbo and Mathieu, Michael and LeCun, Yann},
    title = {Energy-based Generative Adversarial Networks},
    booktitle = {International Conference on Learning Representations},
    year = {2017}, eprint = {1609.03126}, archivePrefix = {arXiv}}"""
