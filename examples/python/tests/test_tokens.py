import unittest

from app.tokens import name_of, sign


class Tokens(unittest.TestCase):
    def test_its_own_token_is_known(self) -> None:
        self.assertEqual(name_of("s3cret", sign("s3cret", "ada")), "ada")

    def test_a_token_of_another_secret_is_not(self) -> None:
        self.assertIsNone(name_of("s3cret", sign("other", "ada")))


if __name__ == "__main__":
    unittest.main()
