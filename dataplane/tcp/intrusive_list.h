// A doubly linked list through links inside its elements: push, pop and remove in O(1), nothing allocated.
// In: elements with a ListLink member named as the template argument. Out: the same elements, first in first out.
// The list owns nothing; an element must be removed before it dies.
#pragma once

#include <cstdint>

namespace sluice::tcp {

template <typename T>
struct ListLink {
    T* next = nullptr;
    T** link = nullptr;  // what points at this element; null: in no list
};

template <typename T, ListLink<T> T::*kLink>
class IntrusiveList {
 public:
    IntrusiveList() = default;
    IntrusiveList(const IntrusiveList&) = delete;
    IntrusiveList& operator=(const IntrusiveList&) = delete;

    bool empty() const { return head_ == nullptr; }
    T* front() const { return head_; }
    static T* next(const T* element) { return (element->*kLink).next; }
    static bool contains(const T* element) { return (element->*kLink).link != nullptr; }
    void push_back(T* element) {
        element->*kLink = {nullptr, tail_};
        *tail_ = element;
        tail_ = &(element->*kLink).next;
    }
    void remove(T* element) {
        ListLink<T>& at = element->*kLink;
        if (!at.link) return;
        *at.link = at.next;
        (at.next ? (at.next->*kLink).link : tail_) = at.link;
        at = {};
    }
    T* pop_front() {
        T* element = head_;
        if (element) remove(element);
        return element;
    }

 private:
    T* head_ = nullptr;
    T** tail_ = &head_;
};

}  // namespace sluice::tcp
