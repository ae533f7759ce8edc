"""What do models of several families share?"""
