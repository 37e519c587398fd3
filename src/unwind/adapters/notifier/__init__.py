"""Message services: text messages, WeChat, e-mail, webhooks, and the group chats of the staff."""
