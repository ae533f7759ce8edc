"""Which models decode a code that an encoder learns with them, or walk by both?"""
