"""The HTTP service: takes QuestionnaireResponses, answers at once, and has them delivered within seconds."""
