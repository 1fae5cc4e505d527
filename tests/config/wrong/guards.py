"""Filters that the chain files beside this module use."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from extproc import Exchange, Filter


class Login(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user: str
    password: SecretStr


class Guard(Filter):
    keys: dict[str, SecretStr] = Field(default_factory=dict)
    limit: int = Field(default=10, ge=1, le=100)
    ratio: float = 0.5
    strict: bool = True
    mode: Literal["fast", "careful"] = "fast"
    hosts: list[str] = Field(default_factory=list, max_length=2)
    login: Login | None = None
    burst: int | Literal["none"] = "none"

    def on_request_headers(self, exchange: Exchange) -> None:
        pass


class Demanding(Filter):
    issuer: str
    key: SecretStr


class Talkative(Filter):
    """Says more than it should."""

    key: SecretStr
    low: int = 0
    high: int = 1

    @field_validator("key")
    @classmethod
    def _check_key(cls, key: SecretStr) -> SecretStr:
        if len(key.get_secret_value()) < 20:
            raise ValueError(f"{key.get_secret_value()!r} is too short for a key")
        return key

    @model_validator(mode="after")
    def _check(self) -> Talkative:
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


class Fragile(Filter):
    key: SecretStr

    @field_validator("key")
    @classmethod
    def _check_key(cls, key: SecretStr) -> SecretStr:
        raise KeyError(key.get_secret_value())


class Patient(Filter):
    async def on_request_headers(self, exchange: Exchange) -> None:
        pass


class Unfinished(Filter):
    @abstractmethod
    def store(self) -> None: ...


class NotAFilter:
    pass
