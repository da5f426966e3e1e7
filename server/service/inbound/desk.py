"""Where everything that is sent is taken: read, judged, stored in one transaction, and answered.

What can never be used is refused while its sender still listens (422), or set aside where the source wants that. It is
stored before it is answered; planning and delivery come afterwards and never change the answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from integration.errors import DeliveryError
from integration.intake import Rejection
from integration.records import Response
from server.service.inbound import answers, bundles, messages, strict_json, submission
from server.service.inbound.bundle_judge import Judged, judged
from server.service.inbound.bundles import Bundle
from server.service.inbound.deposits import (
    ANOTHERS,
    Answer,
    Deposit,
    Key,
    KeyReusedError,
    Later,
    Receipt,
    Taken,
    Unit,
    VersionConflictError,
)
from server.service.inbound.etags import expected_version
from server.service.inbound.group_commit import GroupCommit
from server.service.inbound.inbox import Inbox
from server.service.inbound.reading import ReadResource
from server.service.inbound.sent import Allow, Sent
from server.service.inbound.submission import Submission
from server.service.operation_outcome import Refusal, RefusedError

_KEY_REUSED = "this Idempotency-Key came before with other content; use a new key for something new"

_POISON = frozenset((400, 422))
"""Refusals of what is sent, which sending it again cannot change."""

Withheld = Callable[[Response], str]
"""Returns why a response's outcome will not be written yet, for its sender; empty: nothing is known to hold it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """Takes what is sent.

    Attributes:
        inbox: where first answers are looked up.
        commit: stores units.
        read: decides what is refused.
        withheld: says what will not be written yet.
        most_entries: of a Bundle.
        new_id: makes the id of a request that is worked on later, and of a message.
    """

    inbox: Inbox
    commit: GroupCommit
    read: ReadResource
    withheld: Withheld
    most_entries: int
    new_id: Callable[[], str]

    def take(self, sent: Sent, body: bytes, allow: Allow) -> Taken:
        """Take a request; when this returns, what it brought is on the disk.

        Raises:
            RefusedError: it is refused, and nothing of it is stored.
            DeliveryError: the EHR's server cannot be asked about a patient now; nothing is stored.
            sqlalchemy.exc.DBAPIError, LedgerError: the database refuses; nothing is stored.
        """
        if sent.kind == "resource":
            try:
                with self.commit.coming() as commit:
                    return self._take_resource(sent, body, allow, commit)
            except AnsweredBeforeError as again:
                return Taken(answer=again.answer, is_replay=True)
        try:
            bundle, content_hash = self._bundle(sent, body)
        except RefusedError as error:
            if not sent.is_poison_kept or error.refusal.status not in _POISON:
                raise
            return self._set_aside(sent, body, error.refusal.problem)
        return self._take_bundle(sent, bundle, content_hash, allow)

    def take_later(self, sent: Sent, body: bytes, allow: Allow) -> Taken:
        """Store a request to be taken later; the answer is 202 and says where its result will be.

        What is wrong with it as a whole, and what its sender may not do, is said at once.

        Raises:
            RefusedError: it is refused, and nothing of it is stored.
        """
        if sent.kind == "resource":
            allow("update" if sent.url_id is not None else "create", sent.resource_type)
            one = submission.read(body, sent.resource_type, url_id=sent.url_id, caller=sent.caller)
            content_hash = one.content_hash
        else:
            bundle, content_hash = self._bundle(sent, body)
            for item in bundle.items:
                if item.resource_type:
                    allow(item.interaction, item.resource_type)
        name = self.new_id()
        answer = Answer(status=202, headers={"Content-Location": f"{sent.base_url}/_async/{name}"})
        later_hash = submission.digest_of("later", sent.caller, content_hash)
        later = Later(id=name, request=msgspec.json.encode(replace(sent, is_deferred=True)).decode(), body=body)
        unit = self._unit(sent, later_hash, [], lambda _: answer, keys=_keys(sent, content_hash), later=later)
        return _committed(unit, self.commit.take)

    def _take_resource(self, sent: Sent, body: bytes, allow: Allow, commit: Callable[[Unit], Taken]) -> Taken:
        allow("update" if sent.url_id is not None else "create", sent.resource_type)
        note = ""
        try:
            submission.require_input(sent.resource_type)
            one = submission.read(body, sent.resource_type, url_id=sent.url_id, caller=sent.caller)
        except RefusedError as error:
            if not sent.is_poison_kept or error.refusal.status not in _POISON:
                raise
            one, problem = submission.unreadable(body), error.refusal.problem
        else:
            problem, note = self._judged(sent, one)
        expected = expected_version(sent.if_match, sent.if_none_match)
        deposit = one.deposit(expected_version=expected, problem=problem)

        def answer(receipts: Sequence[Receipt]) -> Answer:
            return answers.single(receipts[0], base_url=sent.base_url, note=note)

        try:
            unit = self._unit(sent, one.content_hash, [deposit], answer, keys=_keys_of(sent, one))
            return _committed(unit, commit)
        except VersionConflictError as error:
            if error.is_anothers:
                raise RefusedError(409, ANOTHERS, expression=f"{one.resource_type}.subject") from error
            problem = "If-Match is not the latest version" if sent.if_match else "If-None-Match: it is there already"
            raise RefusedError(412, f"{problem}; nothing was stored") from error

    def _set_aside(self, sent: Sent, body: bytes, problem: str) -> Taken:
        """Store what cannot be taken apart, for a person."""
        one = submission.unreadable(body)
        deposit = one.deposit(problem=problem)

        def answer(receipts: Sequence[Receipt]) -> Answer:
            return answers.single(receipts[0], base_url=sent.base_url)

        unit = self._unit(sent, one.content_hash, [deposit], answer, keys=_keys(sent))
        return _committed(unit, self.commit.take)

    def _judged(self, sent: Sent, one: Submission) -> tuple[str, str]:
        """Return why a resource is set aside, empty if it is not, and what its sender should know of it.

        Raises:
            RefusedError: it is refused; unless it was taken before, when its first answer is given again.
        """
        try:
            read = self.read(one.resource_type, one.resource_id, one.body)
        except DeliveryError:
            self._answer_again(sent, one)
            raise
        if not isinstance(read, Rejection):
            return "", self.withheld(read) if read is not None else ""
        if sent.is_poison_kept:
            return read.reason, ""
        self._answer_again(sent, one)
        raise RefusedError(422, read.problem, expression=".".join(filter(None, (one.resource_type, read.path))))

    def _answer_again(self, sent: Sent, one: Submission) -> None:
        keys = _keys_of(sent, one)
        unit = self._unit(sent, one.content_hash, [one.deposit()], lambda _: Answer(status=200), keys=keys)
        first = self._found(unit)
        if first is not None:
            raise AnsweredBeforeError(first)

    def _bundle(self, sent: Sent, body: bytes) -> tuple[Bundle, str]:
        if problem := strict_json.problem_at_start(body):
            raise RefusedError(400, problem)
        resource, canonical = strict_json.read(body)
        bundle = bundles.read(resource, most_entries=self.most_entries, caller=sent.caller)
        if sent.kind == "message" and bundle.kind != "message":
            raise RefusedError(422, "a Bundle of type message is taken here", expression="Bundle.type")
        return bundle, hashlib.sha256(canonical).hexdigest()

    def _take_bundle(self, sent: Sent, bundle: Bundle, content_hash: str, allow: Allow) -> Taken:
        keys = _keys(sent)
        if key := bundles.key_of(bundle):
            keys.append(Key(digest=submission.digest_of("bundle", sent.caller, key)))
        first = self._found(self._unit(sent, content_hash, [], lambda _: Answer(status=200), keys=keys))
        if first is not None:
            return Taken(answer=first, is_replay=True)
        is_atomic = bundle.kind in ("transaction", "message")
        try:
            found = judged(bundle, self.read, self.withheld, allow, is_poison_kept=sent.is_poison_kept)
        except DeliveryError:
            if bundle.header is None or sent.is_deferred:
                raise
            return Taken(answer=messages.transient(bundle.header, sent.base_url, self.new_id))
        refused = next((one.refusal for one in found if one.refusal), None)
        if refused is not None and is_atomic:
            return self._refused(bundle, sent, refused)
        return self._stored_bundle(sent, bundle, found, content_hash, keys, is_atomic=is_atomic)

    def _stored_bundle(
        self,
        sent: Sent,
        bundle: Bundle,
        found: Sequence[Judged],
        content_hash: str,
        keys: list[Key],
        *,
        is_atomic: bool,
    ) -> Taken:
        kept = [one for one in found if one.submission is not None]
        deposits = [
            one.submission.deposit(expected_version=one.expected_version, problem=one.problem)
            for one in kept
            if one.submission is not None
        ]

        def answer(receipts: Sequence[Receipt]) -> Answer:
            by_position = {one.position: receipt for one, receipt in zip(kept, receipts, strict=True)}
            entries = [one.entry(by_position.get(one.position), sent.base_url) for one in found]
            if bundle.header is not None:
                return messages.done(bundle.header, entries, sent.base_url, self.new_id)
            kind = "transaction-response" if bundle.kind == "transaction" else "batch-response"
            return answers.bundle(kind, entries)

        unit = self._unit(sent, content_hash, deposits, answer, keys=keys, is_atomic=is_atomic)
        try:
            return _committed(unit, self.commit.take)
        except VersionConflictError as error:
            path = f"Bundle.entry[{kept[error.position].position}]"
            if error.is_anothers:
                anothers = Refusal(status=409, problem=ANOTHERS, expression=f"{path}.resource.subject")
                return self._refused(bundle, sent, anothers)
            problem = "ifMatch is not the latest version; nothing was stored"
            conflict = Refusal(status=412, problem=problem, expression=f"{path}.request.ifMatch")
            return self._refused(bundle, sent, conflict)

    def _refused(self, bundle: Bundle, sent: Sent, refusal: Refusal) -> Taken:
        if bundle.header is not None and refusal.status not in (401, 403):
            return Taken(answer=messages.fatal(bundle.header, refusal, sent.base_url, self.new_id))
        raise RefusedError(refusal.status, refusal.problem, expression=refusal.expression, headers=refusal.headers)

    def _unit(
        self,
        sent: Sent,
        content_hash: str,
        deposits: Sequence[Deposit],
        answer: Callable[[Sequence[Receipt]], Answer],
        *,
        keys: Sequence[Key],
        is_atomic: bool = True,
        later: Later | None = None,
    ) -> Unit:
        return Unit(
            caller=sent.caller, request_id=sent.request_id, content_hash=content_hash, answer=answer,
            deposits=deposits, keys=keys, is_atomic=is_atomic, later=later,
            is_poison_kept=sent.is_poison_kept,
        )  # fmt: skip

    def _found(self, unit: Unit) -> Answer | None:
        try:
            return self.inbox.find(unit)
        except KeyReusedError as error:
            raise RefusedError(422, _KEY_REUSED) from error


class AnsweredBeforeError(Exception):
    """Ends the handling of a repetition whose resource could not be taken any more, with its first answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__("answered before")


def _committed(unit: Unit, commit: Callable[[Unit], Taken]) -> Taken:
    try:
        return commit(unit)
    except KeyReusedError as error:
        raise RefusedError(422, _KEY_REUSED) from error


def _keys(sent: Sent, content_hash: str = "") -> list[Key]:
    if not sent.idempotency_key:
        return []
    digest = submission.digest_of("idempotency", sent.caller, sent.idempotency_key)
    return [Key(digest=digest, is_promise=True, content_hash=content_hash)]


def _keys_of(sent: Sent, one: Submission) -> list[Key]:
    keys = _keys(sent)
    if one.version_key:
        keys.append(Key(digest=one.version_key))
    return keys
